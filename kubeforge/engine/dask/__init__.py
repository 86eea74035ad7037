"""Batches near the hosts: exchanges with hosts are made by workers of dask.distributed (extra `dask`)."""
