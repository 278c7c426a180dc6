"""In and out: students taken away, teachers from elsewhere, and the runs of other trackers."""
