"""The only room with doors to the outside: reading sources, writing shards, records and manifests."""
