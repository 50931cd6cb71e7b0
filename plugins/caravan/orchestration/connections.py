"""Airflow's connections: of the environment, a secrets backend, the UI."""

from __future__ import annotations

from airflow.sdk import Connection as Defined
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from caravan.assembly.connections import connection_of, missing
from caravan.core.connections import Connection


class AirflowConnections:
    """What a task uses. Every secret of a connection is masked in the logs from then on."""

    def get(self, conn_id: str) -> Connection:
        try:
            found = Defined.get(conn_id)
        except AirflowNotFoundException:
            raise missing(conn_id) from None
        fields = ("conn_type", "host", "port", "login", "password", "schema", "extra")
        connection = connection_of(
            conn_id, f"connection {conn_id} of Airflow", {name: getattr(found, name) for name in fields}
        )
        for secret in connection.secrets:
            mask_secret(secret)
        return connection
