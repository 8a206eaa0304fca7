"""HTTP in front of an application: Vespa's paths, on two ports of one process."""
