"""Findings in words: the code, the class and the sentence of each finding, and the reasons of verdicts."""
