"""``python -m fsgan_bench``."""

from fsgan_bench.cli.main import main

if __name__ == "__main__":
    main()
