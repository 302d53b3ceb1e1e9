"""The HTTP server: listeners, processes, connections, and requests as bytes.

Knows HTTP/1.1 and limits. Must not know which application it serves.
Start with `processes.py`; `front.py` is the loop that holds a process's connections.
"""
