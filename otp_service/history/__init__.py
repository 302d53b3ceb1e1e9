"""What happened: notes of each act, handed out by a journal, and the stories of challenges that are kept from them.

Knows what a note says and how stories are stored, found and dropped. Must not know how anything is sent, checked or
decided, and must never hold up what does. Start with `note.py`, then `journal.py`.
"""
