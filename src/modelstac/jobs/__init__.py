"""Jobs: what is done once, wherever and however often it is asked for.

A job is a kind, parameters and the jobs that it needs; their digest is its key. What is done is found again: by what
was published, or by the result that lies in the job's folder. A job runs in a process of its own, on this machine or on
a worker of a cluster, and knows nothing of what else runs. Nothing here knows of training.

Order, each importing only from those before it: job, kinds · records · attempt, perform · pools · dask_pool, run ·
cluster, table.
"""
