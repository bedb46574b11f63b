"""How a command ends: in a status for the shell, and one line that says what to do, whatever went wrong."""

import argparse
import sys


class Parser(argparse.ArgumentParser):
    """One line for a wrong argument, in place of the whole usage."""

    def error(self, message):
        """Print it, and end with status 2."""
        name = self.prog.removeprefix("python -m ").split()[0]
        self.exit(2, f"{name}: error: {message}; {self.prog} --help explains all arguments\n")


def status(name, command, arguments):
    """Run ``command(arguments)``.

    Returns
    -------
    int
        What the command returns, or 0; 2 after an error, 130 after Ctrl-C.
    """
    try:
        return command(arguments) or 0
    except KeyboardInterrupt as stopped:
        print(f"{name}: {str(stopped) or 'stopped'}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head` has seen enough
        sys.stderr.close()
        return 0
    except (ValueError, TypeError, OSError, ArithmeticError, MemoryError) as error:
        if arguments.traceback:
            raise
        print(f"{name}: error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return 2
