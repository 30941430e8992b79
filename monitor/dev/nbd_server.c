// SPDX-License-Identifier: GPL-2.0-or-later
#include "nbd_server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_STEP_MS 5
#define FIRST_FD 3 // where LISTEN_FDS begin

// A listening socket in a folder of its own; *address names it.
static int listen_somewhere(struct sockaddr_un *address, char *folder, size_t len)
{
    const char *tmp = getenv("TMPDIR");
    int fd;

    snprintf(folder, len, "%s/ring3-nbd-XXXXXX", tmp && strlen(tmp) < 64 ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(address->sun_path, sizeof(address->sun_path), "%s/socket", folder);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 && listen(fd, 1) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    rmdir(folder);
    return -1;
}

// Our environment with LISTEN_FDS, and room for LISTEN_PID.
static char **make_environment(char *pid)
{
    static char fds[] = "LISTEN_FDS=1";
    unsigned count = 0, to = 0;
    char **env;

    while (environ[count])
        count++;
    env = calloc(count + 3, sizeof(*env));
    if (!env)
        return NULL;
    for (unsigned i = 0; i < count; i++)
        if (strncmp(environ[i], "LISTEN_", 7) != 0)
            env[to++] = environ[i];
    env[to++] = fds;
    env[to] = pid;
    return env;
}

_Noreturn static void become(char *const *argv, char **env, char *pid, size_t pid_len, int listener, int said)
{
    sigset_t none;

    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    snprintf(pid, pid_len, "LISTEN_PID=%d", (int)getpid());
    dup2(said, 1);
    dup2(said, 2);
    if (listener == FIRST_FD || dup2(listener, FIRST_FD) == FIRST_FD) {
        fcntl(FIRST_FD, F_SETFD, 0);
        execvpe(argv[0], argv, env);
    }
    dprintf(2, "%s cannot be run: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int nbd_server_start(struct nbd_server *server, char *const *argv)
{
    char pid[32], folder[80], **env = make_environment(pid);
    struct sockaddr_un address;
    int listener, fd;

    if (!env)
        return -1;
    listener = listen_somewhere(&address, folder, sizeof(folder));
    if (listener < 0) {
        free(env);
        return -1;
    }
    server->said = memfd_create("ring3-nbd", MFD_CLOEXEC);
    server->pid = fork();
    if (server->pid == 0)
        become(argv, env, pid, sizeof(pid), listener, server->said);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // The server need not have accepted: if it ends before, the listening socket, and with it this one, is closed.
    if (server->pid < 0 || fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    close(listener);
    unlink(address.sun_path);
    rmdir(folder);
    free(env);
    if (server->pid < 0)
        server->pid = 0;
    return fd;
}

void nbd_server_complaint(const struct nbd_server *server, char *text, size_t len)
{
    char said[4096], *line = said, *sep, *error;
    ssize_t n = server->said < 0 ? 0 : pread(server->said, said, sizeof(said) - 1, 0);

    said[n > 0 ? n : 0] = '\0';
    said[strcspn(said, "\n")] = '\0';
    // "PROGRAM: what is wrong"; nbdkit has "nbdkit: PLUGIN[1]: error: what is wrong"
    sep = strstr(said, ": ");
    if (sep && strcspn(said, " ") == (size_t)(sep - said) + 1)
        line = sep + 2;
    error = strstr(line, "error: ");
    if (error && strcspn(line, " ") + 1 >= (size_t)(error - line))
        line = error + strlen("error: ");
    snprintf(text, len, "%s", *line ? line : "its server has ended without a word");
}

void nbd_server_end(struct nbd_server *server, unsigned ms)
{
    if (server->pid) {
        kill(server->pid, SIGTERM);
        for (; ms >= END_STEP_MS; ms -= END_STEP_MS) {
            if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
                server->pid = 0;
                break;
            }
            usleep(END_STEP_MS * 1000);
        }
    }
    if (server->pid) {
        kill(server->pid, SIGKILL);
        while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    if (server->said >= 0)
        close(server->said);
    *server = (struct nbd_server){ .said = -1 };
}
