"""Jobs: one verb a file. Each reads like the steps of the job, in order, and returns a record that prints itself.

They have a room of their own because `ulna.check` is the function: a module of that name would hide it.
"""
