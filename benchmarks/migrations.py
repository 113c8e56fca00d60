"""What many processes at once do to a migration, beside plain Alembic and sqlalchemy-helpers.

    uv run python -m benchmarks.migrations

8 processes bring one database up to date at the same time, 5 times from empty and 5 times from one
revision behind. The figures are processes that failed, of 40, and rounds with a failure, of 5.
"""

from .projects import print_table, rendered_projects

ROUNDS = 5
DRIVERS = [f"--with={name}" for name in ("alembic", "psycopg[binary]", "sqlalchemy")]
SUBJECTS = {
    "ours": ["--no-dev"],
    "alembic": ["--no-project", *DRIVERS],
    "ancestor": ["--no-project", "--with=sqlalchemy-helpers", *DRIVERS],
}
HEADER = ["database", "from", "who", "processes failed", "rounds with a failure"]


def main() -> None:
    rows: list[list[object]] = []
    with rendered_projects() as projects:
        for database in ("postgresql", "sqlite"):
            for who, options in SUBJECTS.items():
                urls = [projects.new_database(database) for _ in range(2 * ROUNDS)]
                found = projects.run("migrations", f"sync-{database}", options, who=who, urls=urls)
                for state, failed in found.items():
                    rounds = sum(number > 0 for number in failed)
                    rows.append([database, state, who, sum(failed), rounds])
    print_table(
        [HEADER, *sorted(rows, key=lambda row: (str(row[0]), str(row[1]), -len(str(row[2]))))], 3
    )


if __name__ == "__main__":
    main()
