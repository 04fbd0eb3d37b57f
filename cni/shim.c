/* felix-cni: what the container runtime runs, once per verb and pod.
 *
 * It decides nothing. The CNI_* environment and standard input go to the agent's unix socket, together with a
 * descriptor of the pod's network namespace (its path need not exist where the agent lives), and the agent's
 * answer comes back: one byte of exit status, one JSON object or nothing, and a newline, by which an answer cut
 * short is recognised. Whatever goes wrong here ends as one JSON object too, for the runtime reads nothing else.
 *
 * A DEL while no agent listens is noted on disk, for the agent to carry out when it starts, and answered with success:
 * nothing keeps a pod from being deleted. The agent makes the folder of the notes, so without one there are none.
 *
 * Socket and folder: FELIX_CNI_SOCKET and FELIX_STATE_DIR in the environment, else felix_socket and felix_state_dir in
 * the network's configuration, else as compiled in. FELIX_CNI_TIMEOUT: seconds for everything.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef FELIX_SOCKET
#define FELIX_SOCKET "/run/felix/cni.sock"
#endif
#ifndef FELIX_STATE
#define FELIX_STATE "/var/lib/felix"
#endif
#define SUPPORTED "\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"" /* as VERSIONS in cni/request.py: a test ties them */
#define NEWEST "1.1.0"
#define SECONDS 75       /* the agent gives up, and undoes what it did, after 60 */
#define STATUS_SECONDS 5 /* a runtime that waits for STATUS starts no pod meanwhile */
#define CHUNK 4096       /* read at once */
#define LIMIT (8u << 20) /* more input than any runtime sends */
#define NOTES 1000       /* DELs that may be noted, each of */
#define NOTE_LIMIT (256u << 10)

enum { BAD_ENVIRONMENT = 4, IO_FAILED = 5, TRY_AGAIN = 11, NOT_SERVING = 50 };

struct text { char *bytes; size_t length, capacity; char small[2 * CHUNK]; }; /* used in this order, page by page */

static struct text input;
static int seconds = SECONDS;         /* that this process has for everything */
static char version[32] = NEWEST;     /* the version the caller speaks, for errors and for VERSION */
static int away = TRY_AGAIN;          /* the code for "the agent does not answer" */
static volatile sig_atomic_t answering; /* from here on standard output is in use */
static const char *tried = "felix-cni";
static const char *again = "try again later";
static char stop_object[200];

/* The time begins with the first wait: whoever need not wait pays nothing for the clock, which is two page faults. */
static int milliseconds_left(void)
{
    static long long end_ms;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long now_ms = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
    end_ms = end_ms ? end_ms : now_ms + seconds * 1000LL;
    return end_ms > now_ms ? (int)(end_ms - now_ms) : 0;
}

/* Wait until fd is ready or the time is over (-1, ETIMEDOUT). */
static int ready(int fd, short events)
{
    struct pollfd wanted = {.fd = fd, .events = events};
    int n, left = 0;
    while ((n = poll(&wanted, 1, left)) == 0 || (n < 0 && errno == EINTR))
        if ((left = milliseconds_left()) == 0)
            return errno = ETIMEDOUT, -1;
    return n < 0 ? -1 : 0;
}

/* Print one object on standard output, in pieces that a pipe with space never blocks on, and end. */
static void __attribute__((noreturn)) answer(const char *bytes, size_t length, int status)
{
    answering = 1;
    while (length > 0 && ready(1, POLLOUT) == 0) {
        ssize_t n = write(1, bytes, length < PIPE_BUF ? length : PIPE_BUF);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            break;
        if (n > 0)
            bytes += n, length -= (size_t)n;
    }
    _exit(length > 0 && status == 0 ? 1 : status);
}

static void __attribute__((noreturn, format(printf, 2, 3))) fail(int code, const char *format, ...)
{
    char sentence[512], object[1200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    int n = snprintf(object, sizeof object, "{\"cniVersion\":\"%s\",\"code\":%d,\"msg\":\"", version, code);
    for (const char *c = sentence; *c; c++) {
        if (*c == '"' || *c == '\\')
            object[n++] = '\\';
        object[n++] = (*c >= ' ' && *c <= '~') ? *c : '?'; /* what is not ASCII may not be UTF-8 either */
    }
    n += snprintf(object + n, sizeof object - (size_t)n, "\"}\n");
    answer(object, (size_t)n, 1);
}

/* The runtime ends us: still one object, prepared in main. Only what a signal handler may call. */
static void stopped(int signal_number)
{
    (void)signal_number;
    if (answering)
        return;
    _exit(write(1, stop_object, strlen(stop_object)) > 0 ? 1 : 2);
}

/* Return the end of a text, with room for so many more bytes. Few need the heap; nothing is given back, we end soon. */
static char *room(struct text *to, size_t more)
{
    if (!to->bytes)
        to->bytes = to->small, to->capacity = sizeof to->small;
    if (to->capacity - to->length < more) {
        char *larger = malloc(to->capacity = 2 * (to->length + more));
        if (!larger)
            fail(IO_FAILED, "%s: out of memory", tried);
        to->bytes = memcpy(larger, to->bytes, to->length);
    }
    return to->bytes + to->length;
}

static void append(struct text *to, const char *bytes, size_t length)
{
    memcpy(room(to, length), bytes, length);
    to->length += length;
}

/* Read until the end; 0, or -1 with errno (ETIMEDOUT: not before the time was over, EFBIG: more than LIMIT). */
static int read_all(int fd, struct text *to)
{
    for (;;) {
        if (ready(fd, POLLIN) < 0)
            return -1;
        ssize_t n = read(fd, room(to, CHUNK), CHUNK);
        if (n == 0 || (n < 0 && errno == ECONNRESET)) /* the agent answered without reading everything */
            return 0;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -1;
        if ((to->length += n > 0 ? (size_t)n : 0) > LIMIT)
            return errno = EFBIG, -1;
    }
}

/* Find "key": "value" in the input, which ends with a zero; the agent is the one that parses it properly. */
static int member(const char *key, char *into, size_t size)
{
    for (char *c = strstr(input.bytes, key); c; c = strstr(c + 1, key)) {
        char *value = c + strlen(key);
        value += strspn(value, " \t\r\n");
        if (*value++ != ':')
            continue;
        value += strspn(value, " \t\r\n");
        size_t length = *value == '"' ? strcspn(value + 1, "\"\\") : 0;
        if (length > 0 && length < size && value[1 + length] == '"') {
            memcpy(into, value + 1, length);
            into[length] = 0;
            return 1;
        }
    }
    return 0;
}

static void note_version(void)
{
    char found[sizeof version];
    *room(&input, 1) = 0; /* which is not sent */
    if (member("\"cniVersion\"", found, sizeof found) &&
        !found[strspn(found, "0123456789.abcdefghijklmnopqrstuvwxyz-+")])
        strcpy(version, found);
}

/* Return what the environment says, else the configuration, else the default. */
static const char *configured(const char *variable, const char *key, const char *usual)
{
    const char *given = getenv(variable);
    char *found = malloc(PATH_MAX);
    return given && *given ? given : found && member(key, found, PATH_MAX) ? found : usual;
}

/* Connect; or -1, with errno. */
static int connect_agent(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        fail(BAD_ENVIRONMENT, "%s: FELIX_CNI_SOCKET or felix_socket is longer than a socket's path may be", tried);
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int left = milliseconds_left();
    struct timeval limit = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000 + 1}; /* 0 would mean for ever */
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); /* bounds connect on a full backlog as well */
    while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        if (errno != EINTR) {
            int reason = errno;
            close(fd);
            return errno = reason, -1;
        }
    return fd;
}

/* Write a request to a file of its own, called by its contents so that a repeated DEL is noted once. 0, or -1 with
 * errno; `folder` and `name` tell where it is. */
static int note(const struct text *request, int folder, char name[24])
{
    unsigned long long hash = 14695981039346656037ull; /* FNV-1a */
    for (size_t i = 0; i < request->length; i++)
        hash = (hash ^ (unsigned char)request->bytes[i]) * 1099511628211ull;
    snprintf(name, 24, "%016llx", hash);
    int count = 0, listed = dup(folder), fd, bad;
    DIR *entries = listed < 0 ? NULL : fdopendir(listed);
    if (!entries)
        return -1;
    while (readdir(entries))
        count++;
    closedir(entries);
    if (request->length > NOTE_LIMIT || count >= NOTES + 2) /* . and .. */
        return errno = EDQUOT, -1;
    char fresh[24];
    snprintf(fresh, sizeof fresh, ".%d", (int)getpid());
    if ((fd = openat(folder, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0)
        return -1;
    bad = write(fd, request->bytes, request->length) != (ssize_t)request->length || fsync(fd) < 0;
    if (close(fd) < 0 || bad || renameat(folder, fresh, folder, name) < 0 || fsync(folder) < 0) {
        bad = errno;
        unlinkat(folder, fresh, 0);
        return errno = bad ? bad : EIO, -1;
    }
    return 0;
}

/* No agent listens. A DEL is noted, and done for the runtime; unless an agent began to listen meanwhile, which may not
 * have read the note: the descriptor of the connection to it is returned. */
static int without_agent(const char *path, const struct text *request)
{
    int reason = errno, fd;
    const char *why = strerror(reason);
    if (!strcmp(tried, "DEL") && (reason == ENOENT || reason == ECONNREFUSED || reason == ENOTDIR)) {
        const char *state = configured("FELIX_STATE_DIR", "\"felix_state_dir\"", FELIX_STATE);
        char place[PATH_MAX], name[24];
        snprintf(place, sizeof place, "%s/deletes", state);
        int folder = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0 || note(request, folder, name) < 0)
            fail(away, "DEL: the felix-py agent on this node does not answer on %s (%s), nor can this be noted for it in "
                 "%s (%s); try again later", path, why, place, strerror(errno));
        if ((fd = connect_agent(path)) < 0)
            answer("", 0, 0);
        unlinkat(folder, name, 0);
        return fd;
    }
    fail(away, "%s: the felix-py agent on this node does not answer on %s (%s), which FELIX_CNI_SOCKET or felix_socket "
         "in the network's configuration may set; %s", tried, path, why, again);
}

/* Send everything, the namespace's descriptor with the first byte. An agent that hangs up early has answered. */
static void send_all(int fd, const struct text *from, int netns)
{
    union { /* aligned as the kernel wants it */
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), &netns, sizeof netns);
    for (size_t sent = 0; sent < from->length;) {
        struct iovec piece = {.iov_base = from->bytes + sent, .iov_len = from->length - sent};
        struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
        if (sent == 0 && netns >= 0)
            message.msg_control = control.bytes, message.msg_controllen = sizeof control.bytes;
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            sent += (size_t)n;
        else if (n < 0 && errno == EAGAIN && ready(fd, POLLOUT) < 0)
            fail(away, "%s: the felix-py agent did not take the request in time; try again later", tried);
        else if (n < 0 && errno != EAGAIN && errno != EINTR)
            return;
    }
}

int main(void)
{
    const char *verb = getenv("CNI_COMMAND"), *netns = getenv("CNI_NETNS");
    const char *given = getenv("FELIX_CNI_TIMEOUT"), *verbs = "|ADD|DEL|CHECK|GC|STATUS|VERSION|";
    char name[16];
    signal(SIGPIPE, SIG_IGN);
    if (snprintf(name, sizeof name, "|%s|", verb ? verb : "") >= (int)sizeof name || !strstr(verbs, name))
        fail(BAD_ENVIRONMENT, "felix-cni: CNI_COMMAND=%s is not one of ADD, DEL, CHECK, GC, STATUS, VERSION",
             verb ? verb : "");
    tried = verb;
    away = strcmp(verb, "STATUS") ? TRY_AGAIN : NOT_SERVING;
    snprintf(stop_object, sizeof stop_object, "{\"cniVersion\":\"" NEWEST "\",\"code\":%d,\"msg\":\"%s: stopped by a "
             "signal before the agent answered; try again later\"}\n", away, tried);
    struct sigaction on_stop = {.sa_handler = stopped};
    sigaction(SIGTERM, &on_stop, NULL), sigaction(SIGINT, &on_stop, NULL), sigaction(SIGHUP, &on_stop, NULL);
    int is_version = !strcmp(verb, "VERSION");
    seconds = is_version ? 2 : given && atoi(given) > 0 ? atoi(given) : away == NOT_SERVING ? STATUS_SECONDS : SECONDS;

    int unread = read_all(0, &input), reason = errno;
    note_version();
    if (is_version) { /* needs neither configuration nor agent */
        char object[128];
        int n = snprintf(object, sizeof object, "{\"cniVersion\":\"%s\",\"supportedVersions\":[" SUPPORTED "]}\n", version);
        answer(object, (size_t)n, 0);
    }
    if (unread)
        fail(IO_FAILED, "%s: reading the network configuration from standard input: %s", tried, strerror(reason));

    static struct text request, reply;
    for (char **variable = environ; *variable; variable++)
        if (!strncmp(*variable, "CNI_", 4))
            append(&request, *variable, strlen(*variable) + 1);
    int descriptor = netns && *netns ? open(netns, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (netns && *netns && descriptor < 0) { /* no error for DEL: the agent decides */
        char note[64];
        append(&request, note, (size_t)snprintf(note, sizeof note, "CNI_NETNS_ERROR=%s", strerror(errno)) + 1);
    }
    append(&request, "", 1);
    append(&request, input.bytes, input.length);

    const char *path = configured("FELIX_CNI_SOCKET", "\"felix_socket\"", FELIX_SOCKET);
    if (!strcmp(verb, "ADD")) /* cni/verbs.py has what these words are to a kubelet */
        again = "the network is not ready; try again later";
    int fd = connect_agent(path);
    if (fd < 0)
        fd = without_agent(path, &request);
    send_all(fd, &request, descriptor);
    shutdown(fd, SHUT_WR);
    if (read_all(fd, &reply) < 0 || reply.length < 2 || reply.bytes[reply.length - 1] != '\n')
        fail(away, "%s: the felix-py agent ended or took too long before it had answered; %s", tried, again);
    answer(reply.bytes + 1, reply.length == 2 ? 0 : reply.length - 1, reply.bytes[0]);
}
