"""Lets the tests of this folder import `encoded`, which writes photos byte by byte."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
