"""What Caravan adds to Airflow. The package beside this file is ignored by Airflow (.airflowignore)."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from caravan.orchestration import one_writer, pools, views
from caravan.orchestration.timetables import WindowTimetable


class CaravanPlugin(AirflowPlugin):
    name = "caravan"
    timetables = [WindowTimetable]
    listeners = [pools]
    fastapi_apps = views.FASTAPI_APPS
    fastapi_root_middlewares = one_writer.middlewares()
    external_views = views.EXTERNAL_VIEWS
