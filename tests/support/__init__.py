"""What several test files share: places, configurations, studies, whole programs."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
