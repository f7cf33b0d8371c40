"""The flow, its sampler and kernel consistency."""
