"""The benchmarks, one after the other: ``python -m benchmarks [--full] [--no-peer] [--write]``."""

import sys

from benchmarks import field, fit, growth, money, predict, report, scoring, states, summaries


def main() -> None:
    options = report.parser(__doc__ or "")
    options.parse_args()  # only the options that all benchmarks share
    for module in (fit, growth, states, scoring, summaries, predict, field, money):
        name = module.__name__.rpartition(".")[2]
        print(f"{name}: {(module.__doc__ or '').split('?')[0]}?", file=sys.stderr)
        report.run(name, module.parser().parse_args(), module.measure)


if __name__ == "__main__":
    main()
