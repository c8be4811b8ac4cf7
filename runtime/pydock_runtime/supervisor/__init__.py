"""pydock-supervisor: the parent of every container; keeps stdio, logs and exit codes while pydockd comes and goes.

loop        start of the process: lock, socket, preload, serve
poller      the epoll loop: descriptors, timers, work for idle moments
connection  one pydockd: frames in, answers and events out
service     the table of operations
containers  a container, its init and its execs, from fork to exit record
pausing     freezing and thawing a container
stdio       a process's streams: output to log and attachments, input from attachments
ends        the parent's ends of pipes and terminals
attachments a client's own connection, written to and read from without pydockd
logs        the log drivers' writers
diary       supervisor.log
reports     what is said of a container, to pydockd and on disk
records     what is on disk about a container: state.json, exit.json
upgrade     another program in the same process, while containers run
handover    what that one is told
holding     what pydockd holds for a supervisor that comes after one that was killed
adopt       a supervisor that starts where another one died
protocol    the wire between pydockd and the supervisor, used by both
"""
