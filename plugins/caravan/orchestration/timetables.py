"""When window DAGs run, and for which window."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import timezone as clock
from airflow.timetables.base import DagRunInfo
from airflow.timetables.interval import CronDataIntervalTimetable

if TYPE_CHECKING:
    from airflow.timetables.base import DataInterval, TimeRestriction
    from pendulum import DateTime


class WindowTimetable(CronDataIntervalTimetable):
    """Windows between the ticks of `cron`; each run starts `delay` after its window ended.

    A plain cron string in Airflow 3 gives a window of zero length, and `CronDataIntervalTimetable("0 3 * * *")`
    windows from 03:00 to 03:00. This gives whole days that are collected at 03:00:
    `WindowTimetable("0 0 * * *", delay=timedelta(hours=3))`.
    A manual run gets the last whole window, a backfill one run for each window.
    """

    def __init__(self, cron: str, timezone: str = "UTC", delay: timedelta = timedelta(0)) -> None:
        super().__init__(cron, timezone)
        self.zone = timezone
        self.delay = delay
        hours = delay.total_seconds() / 3600
        self.description = f"Windows that end {self.description.lower()} {timezone}, each run {hours:g} h later"

    def serialize(self) -> dict[str, Any]:
        return {"cron": self._expression, "zone": self.zone, "delay": self.delay.total_seconds()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> WindowTimetable:
        return cls(data["cron"], data["zone"], timedelta(seconds=data["delay"]))

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        info = super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
        if info is None:
            return None
        return DagRunInfo(run_after=info.run_after + self.delay, data_interval=info.data_interval)

    def _skip_to_latest(self, earliest: DateTime | None) -> DateTime:
        # Without catchup: the last window whose run is due. Airflow's own takes the last window that has ended,
        # so that a window would be skipped when the scheduler returns between its end and the delay.
        end = self._align_to_prev(clock.coerce_datetime(clock.utcnow()) - self.delay)
        latest = self._get_prev(end)
        return latest if earliest is None else max(latest, self._align_to_next(earliest))
