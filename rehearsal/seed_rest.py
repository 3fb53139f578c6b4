"""Rows that belong to no school: customers, districts, live reference tables, the feed, and stray tables."""

from __future__ import annotations

from rehearsal.seed_plan import CUSTOMERS, DISTRICTS, SCHOOL
from rehearsal.seed_schools import add_user, donate
from rehearsal.seed_world import MASTER, World

_LEFT_BEHIND = 3  # rows in each stray table


def add_reference(world: World) -> None:
    """Add customers, districts and the other rows that stay live."""
    for customer_id, customer in CUSTOMERS.items():
        renewing = customer_id != 1299
        world.add(MASTER, "customers", id=customer_id, name=customer, renewing=renewing, **world.stamps())
        world.add(MASTER, "customer_settings", customer_id=customer_id, name="logo", value=next(world.values.texts))
        donate(world, customer_id=customer_id)
    for district_id, owner in DISTRICTS.items():
        district = next(world.values.names)
        world.add(MASTER, "districts", id=district_id, customer_id=owner, name=district, **world.stamps())
        donate(world, district_id=district_id)
    for contest_id in (9, SCHOOL, 21):
        world.add(MASTER, "contests", id=contest_id, name="Math off", starts_on="2014-01-06", ends_on="infinity")
        world.join(MASTER, "contests_customers", contest_id=contest_id, customer_id=1200)
    _names(world)


def _names(world: World) -> None:
    for name in ("Red Cross", "UNICEF", "Local \\N library"):
        world.add(MASTER, "charities", name=name)
        world.add(MASTER, "rollup_reports", name=name + " report")
    for name in ("urban", "rural", "title i", "🎓"):
        world.add(MASTER, "tags", name=name)
    for database in (MASTER, *world.shards):
        for version in ("20091014153000", "20130601120000"):
            world.join(database, "schema_migrations", version=version)


def add_legacy_users(world: World) -> None:
    """Add legacy users: super users and admins that belong to no school."""
    for role in ("super user", "legacy admin", "legacy admin"):
        add_user(world, role, last_sign_in_at="2010-09-01 08:00:00+00")


def add_feed(world: World) -> None:
    """Add the feed's rows about the schools."""
    for school_id in sorted(world.rolls):
        roll = world.rolls[school_id]
        for classroom_id, student_id in zip(roll.classrooms[:2], roll.students, strict=False):
            item_id = world.add(
                MASTER,
                "feed_items",
                classroom_id=classroom_id,
                actor_type="Student",
                actor_id=student_id,
                message=next(world.values.texts),
                created_at=world.moment(school_id),
            )
            user_id = roll.teachers[0]
            world.add(MASTER, "feed_item_interactions", feed_item_id=item_id, user_id=user_id, kind="like")


def add_left_behind(world: World, shard: str) -> None:
    """Add the rows of a shard's stray tables."""
    for number in range(1, _LEFT_BEHIND + 1):
        world.add(shard, "rollup_reports", id=number, name="Weekly")
        world.add(shard, "emailed_rollup_reports", id=number, user_id=number, sent_at=world.moment(number))
        world.add(shard, "reports_in_emails", id=number, emailed_rollup_report_id=number, rollup_report_id=number)
        world.add(shard, "user_opted_in_rollup_reports", id=number, user_id=number, rollup_report_id=number)
        world.add(shard, "activity_join", id=1000 + number, enrollment_activity_id=number)
        world.join(shard, "images_tmp", name=f"{number}.png", content=next(world.values.bytes))
        world.join(shard, "lesson_enrollments_changed_passed", lesson_enrollment_id=number, passed=True)
        world.add(
            shard, "queue_classic_jobs", id=number, q_name="mail", method="Report.send", args="[]", locked_at=None
        )
        world.add(shard, "queue_classic_jobs_2012", id=number, args=None)
        world.join(shard, "tmp_activities_join", activity_id=number, attempt_id=number)
