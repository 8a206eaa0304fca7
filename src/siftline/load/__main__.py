"""`python -m siftline.load`: a worker process of a load test."""

from siftline.load.worker import main

main()
