"""Data sets that are fetched: transfers that go on where they were cut, and the portal CELLxGENE Discover."""
