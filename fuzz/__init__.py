"""Fuzzing: every parser of untrusted bytes, each as one target that runs until the time is up or something breaks.

    make fuzz SECONDS=60                        every target for a minute, and a table of what was tried
    python -m fuzz.run --seconds 60 jpeg png    only these
    python -m fuzz.replay jpeg FILE             one input again, such as a finding

Python code is fuzzed coverage-guided by Atheris (libFuzzer). Photos are mutated as what they are: segments and chunks
with correct lengths and checksums. A finding is an exception that the target does not document, a crash, more than two
seconds of processor time or of waiting, or 500 MB of memory, for one input, which stays in the folder fuzz-findings.
"""
