"""From raw Japanese and English text to packed, tokenizer-exact training shards. Read `pipeline.py` first."""
