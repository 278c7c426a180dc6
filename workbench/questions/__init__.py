"""What the screens ask of the engine thread: each question is a function that the thread calls, its answer plain values."""
