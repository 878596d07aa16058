#!/usr/bin/env python3
"""Sums up JUnit files: tally.py FOLDER [N] prints "N passed, N failed" (N more failures added) and fails if any failed.

tally.py --has-failures FOLDER prints nothing and succeeds if a test failed. A file that a runner began and did not
finish (it crashed) counts as one failure.
"""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def count(folder: pathlib.Path) -> tuple[int, int, int]:
    """Passed, failed and skipped tests of all files."""
    passed = failed = skipped = 0
    for file in sorted(folder.glob("*.xml")):
        try:
            cases = list(ElementTree.parse(file).getroot().iter("testcase"))
        except ElementTree.ParseError:
            failed += 1
            continue
        for case in cases:
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            elif case.find("skipped") is not None or case.get("status") in ("disabled", "notrun"):
                skipped += 1
            else:
                passed += 1
    return passed, failed, skipped


def main() -> int:
    if sys.argv[1] == "--has-failures":
        return 0 if count(pathlib.Path(sys.argv[2]))[1] else 1
    passed, failed, skipped = count(pathlib.Path(sys.argv[1]))
    failed += int(sys.argv[2]) if len(sys.argv) > 2 else 0
    if skipped:
        print(f"{skipped} skipped")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
