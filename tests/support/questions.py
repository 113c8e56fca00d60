"""The questions of copier.yml."""

from typing import Any

import yaml

from .releases import ROOT

QUESTIONS: dict[str, Any] = {
    name: question
    for name, question in yaml.safe_load((ROOT / "copier.yml").read_text()).items()
    if not name.startswith("_")
}
