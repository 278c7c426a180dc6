"""What is worked out of results, in numbers and words: NumPy and the history's rows, neither torch nor Qt."""
