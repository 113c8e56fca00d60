"""What many callers at once do to the database layer, beside sqlalchemy-helpers, its ancestor.

    uv run python -m benchmarks.races

32 callers want the same rows at the same time: 200 fresh keys on PostgreSQL, 20 on SQLite, then
1,600 increments of one number. Without errors, there is one row a key, `created` was True once a
key, and `visits` is the number of increments. The last column is the time as a ratio to ours.
"""

from tests.variants import VARIANTS

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
HEADER = ["what", "style", "database", "who", "kinds of errors", "errors"]
HEADER += ["calls", "rows", "created", "visits", "time"]


def main() -> None:
    rows: list[list[object]] = []
    with rendered_projects() as projects:
        for name in NAMES:
            style, database = VARIANTS[name]["io"], VARIANTS[name]["database"]
            found = {
                who: projects.run("races", name, options, who=who, keys=KEYS[database])
                for who, options in SUBJECTS.items()
            }
            for what, ours in found["ours"].items():
                for who, results in found.items():
                    result = results[what]
                    errors, calls = result["errors"], result["calls"]
                    ratio = result["seconds"] / ours["seconds"]
                    rows.append(
                        [
                            *(what, style, database, who, ", ".join(errors)),
                            *(sum(errors.values()), calls, result["rows"], result["created"]),
                            *(result["visits"], f"{ratio:.2f}"),
                        ]
                    )
    print_table([HEADER, *sorted(rows, key=lambda row: list(found["ours"]).index(str(row[0])))], 5)


if __name__ == "__main__":
    main()
