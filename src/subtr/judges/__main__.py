"""``python -m subtr.judges``: which judges can be used here, and why others cannot."""

import textwrap

from subtr.judges import judge_table


def main() -> None:
    """Prints a line a judge."""
    for judge in judge_table().itertuples():
        print(f"{'yes' if judge.available else 'no ':4}{judge.name:24}{judge.criterion}")
        if not judge.available:
            print(
                textwrap.fill(judge.why_not, 100, initial_indent=" " * 4, subsequent_indent=" " * 4)
            )


if __name__ == "__main__":
    main()
