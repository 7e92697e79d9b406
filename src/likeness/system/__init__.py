"""What the operating system provides: files with limits, atomic files, locks, processors, core dumps."""
