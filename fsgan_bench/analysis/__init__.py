"""What finished runs say about the paper's two observations, from the run directories alone.

``resampling`` draws probe batches, ``estimates`` holds numbers with their uncertainty and compares
them, ``trajectories`` says what is measured on a trajectory, ``comparison`` measures it for every
method of a task, ``observations`` judges, ``report`` shows it. No method is known by name here.
"""
