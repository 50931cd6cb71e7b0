"""What Caravan adds to Airflow. The package beside this file is ignored by Airflow (.airflowignore)."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from caravan.orchestration import pools, views
from caravan.orchestration.timetables import WindowTimetable


class CaravanPlugin(AirflowPlugin):
    name = "caravan"
    timetables = [WindowTimetable]
    listeners = [pools]
    fastapi_apps = views.FASTAPI_APPS
    external_views = views.EXTERNAL_VIEWS
