"""`inv inventory.new`: a commented inventory that loads, and never a file written over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import yaml

from inventory import load
from runbooks.cutover import SIXTEEN, plan_of
from runbooks.inventory import template
from tests.inside import Said, inv_inside

Typed = Callable[..., Said]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Return commands at an inventory's folder that is empty."""
    monkeypatch.setattr(load, "FOLDER", tmp_path)
    return lambda *words: inv_inside(capsys, *words)


def test_a_new_inventory_loads_and_says_what_comes_next(typed: Typed, tmp_path: Path) -> None:
    said = typed("inventory.new", "shop")

    assert said.code == 0, said
    shop = load.load("shop")
    assert (shop.name, shop.production, shop.nights, shop.hosts) == ("shop", True, {}, {})
    assert (shop.catalog, shop.store.recipients, shop.store.unencrypted) == ("shop-catalog.yaml", (), None)
    assert "Wrote inventory/shop.yaml. Next:" in said.out
    assert "inv archive.catalog-draft --root=TABLE --env=shop > inventory/shop-catalog.yaml" in said.out
    assert "inv inventory.check --env=shop" in said.out
    assert "NAME" not in (tmp_path / "shop.yaml").read_text()


def test_a_new_inventory_with_a_night_makes_a_checklist(typed: Typed, tmp_path: Path) -> None:
    said = typed("inventory.new", "shop", "--night=2015-08-14")

    assert "inv cutover.plan --date=2015-08-14 --env=shop" in said.out
    (tmp_path / "shop-catalog.yaml").write_text((Path(load.__file__).parent / "catalog.yaml").read_text())
    plan = plan_of(load.load("shop"), date(2015, 8, 14))
    shrink = "warehouse.shrink"
    assert [step.key for step in plan.steps] == [build.key for build in SIXTEEN if build.key != shrink]
    assert "DAY" not in (tmp_path / "shop.yaml").read_text()


def test_nothing_is_written_over_a_file(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("mine")

    said = typed("inventory.new", "shop")

    assert (said.code, (tmp_path / "shop.yaml").read_text()) == (2, "mine")
    assert "inventory/shop.yaml is there already; nothing was written." in said.err
    assert "hint: inv inventory.check --env=shop" in said.err


@pytest.mark.parametrize("name", ["example", "catalog", "shop-catalog", "Shop", "../shop", "a b", "-x"])
def test_a_name_that_is_no_environments_is_refused(typed: Typed, tmp_path: Path, name: str) -> None:
    said = typed("inventory.new", name)

    assert said.code == 2
    assert "name: expected a name in lower case" in said.err
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("night", [None, date(2015, 8, 14)])
def test_what_is_commented_out_can_be_put_in(night: date | None, tmp_path: Path) -> None:
    """A key in a comment, such as `# endpoint: …`, is one that the model knows."""
    lines = template("shop", night).splitlines()
    keys = ("shard_1", "endpoint", "credentials", "unencrypted")
    put_in = [line.replace("# ", "", 1) if line.strip("# ").split(":")[0] in keys else line for line in lines]
    text = "\n".join(put_in)
    if night:
        text = text.replace("shard_1: {", "shard_1: {host: db-shard-1, ").replace(
            "  watcher: {add", "  db-shard-1: {address: x, user: postgres, roles: [database]}\n  watcher: {add"
        )
    assert set(keys) <= {*yaml.safe_load(text)["store"], *yaml.safe_load(text)["databases"]}

    path = tmp_path / "shop.yaml"
    path.write_text(text)

    assert load.load_file(path).store.endpoint == "http://localhost:9000"
