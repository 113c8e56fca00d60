"""What a call of the query functions costs, as a ratio to code written by hand.

    uv run python -m benchmarks.queries

By hand is `select(Model).filter_by(...)`, and adding and flushing what was not found, which loses
races. sqlalchemy-helpers, the ancestor, runs beside it. All take turns in the same process, on the
same session's connection; the figures are medians of the rounds. Less is faster.
"""

from .projects import NAMES, print_table, rendered_projects

CALLS = 100
ROUNDS = 15


def main() -> None:
    columns = {}
    with rendered_projects() as projects:
        for name in NAMES:
            options = ["--no-dev", "--with=sqlalchemy-helpers"]
            columns[name] = projects.run("queries", name, options, calls=CALLS, rounds=ROUNDS)
    rows: list[list[object]] = [["what", "who", *NAMES]]
    for what, subjects in columns[NAMES[0]].items():
        for who in subjects:
            rows.append([what, who, *(f"{columns[name][what][who]:.2f}" for name in NAMES)])
    print_table(rows, 2)


if __name__ == "__main__":
    main()
