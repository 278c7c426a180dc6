"""Where experiments are done: the engine that owns torch, the driver, the background thread, Ray's workers, the search."""
