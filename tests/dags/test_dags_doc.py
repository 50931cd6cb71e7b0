from __future__ import annotations

from caravan.cli.dags_doc import difference, render


def test_the_document_is_what_the_dags_say(bag):
    assert difference(render(bag)) == "", "run `make docs`"


def test_the_document_names_every_dag_task_and_asset(bag):
    document = render(bag)
    assert bag.dags
    for dag_id, dag in bag.dags.items():
        assert f"\n## {dag_id}\n" in document
        assert all(f"`{task_id}`" in document for task_id in dag.task_ids)
    assert "When `sales_orders` or `site_crawls` is updated, and at 15 minutes past the hour UTC" in document
    assert "Windows that end at 00:00 UTC, each run 3 h later" in document
    assert "collect[[collect]]" in document


def test_a_changed_document_is_noticed(bag):
    assert "+a line that nobody generated" in difference(render(bag) + "a line that nobody generated\n")
