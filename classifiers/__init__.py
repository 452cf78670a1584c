"""The realisticness classifier: is an image of the target domain? (Zhao et al. 2022, Eq. 3)

``factory.get_classifier`` is the door; fsgan_bench finds it by the entry-point group
``fsgan_bench.classifiers``.
"""
