"""What many callers at once do to the database layer, beside sqlalchemy-helpers, its ancestor.

    uv run python -m benchmarks.races

32 callers want the same rows at the same time: 200 fresh keys on PostgreSQL, 20 on SQLite, then
1,600 increments of one number. Where all is well there are no errors, one row a key, `created` is
True once a key, and `visits` is the number of increments. Only `update_or_create` promises that:
between `get_one` and the change of what it returned, PostgreSQL lets others in.

The last column is the time as a ratio to ours. Calls that fail are quick.
"""

from typing import Any

from tests.support.variants import VARIANTS

from .projects import NAMES, print_table, rendered_projects

DRIVERS = ["asyncpg", "psycopg[binary]", "aiosqlite", "sqlalchemy[asyncio]"]
SUBJECTS = {
    "ours": ["--no-dev"],
    "ancestor": [
        "--no-project",
        *(f"--with={name}" for name in ("sqlalchemy-helpers", *DRIVERS)),
    ],
}
KEYS = {"postgresql": 200, "sqlite": 20}
# By each caller.
INCREMENTS = 50
HEADER: list[object] = [
    *("what", "project", "who", "kinds of errors"),
    *("errors", "calls", "rows", "created", "visits", "time"),
]


def main() -> None:
    found: dict[str, dict[str, Any]] = {}
    with rendered_projects() as projects:
        for name in NAMES:
            keys = KEYS[VARIANTS[name]["database"]]
            found[name] = {
                who: projects.run("races", name, options, who=who, keys=keys, increments=INCREMENTS)
                for who, options in SUBJECTS.items()
            }
    rows = [HEADER]
    for what in found[NAMES[0]]["ours"]:
        for name, subjects in found.items():
            for who, results in subjects.items():
                result = results[what]
                ratio = result["seconds"] / subjects["ours"][what]["seconds"]
                rows.append(
                    [
                        *(what, name, who, ", ".join(result["errors"])),
                        *(sum(result["errors"].values()), result["calls"], result["rows"]),
                        *(result["created"], result["visits"], f"{ratio:.2f}"),
                    ]
                )
    print_table(rows, 4)


if __name__ == "__main__":
    main()
