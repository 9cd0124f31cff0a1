"""What the flows, the demo and the benchmarks share: driving the lab, and evidence that an estate works."""
