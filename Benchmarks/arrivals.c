// Asks an HTTP server at a fixed rate of arrivals, whatever it answers, and prints latencies from when a request was due: a
// request that waits for a free connection, or for this program, counts as late as its client would say.
//   cc -O2 -o arrivals arrivals.c && ./arrivals PORT PATH RATE SECONDS [CONNECTIONS]
// %u in the body, which is read from standard input, becomes one of 10,000 users.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 1024, ANSWER_MAX = 1 << 20, REQUEST_MAX = 1 << 16 };
typedef struct {
  int socket, received;
  long due;
  char *answer;
} Connection;
static Connection connections[CONNECTIONS_MAX];
static int idle[CONNECTIONS_MAX], idle_count;
static long failed;

static long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

// Whether the answer is whole; counts those that are no 200.
static int is_whole(Connection *connection) {
  connection->answer[connection->received] = 0;
  char *body = strstr(connection->answer, "\r\n\r\n");
  if (!body) return 0;
  char *length = strcasestr(connection->answer, "content-length:");
  long end = body + 4 - connection->answer + (length ? atol(length + 15) : 0);
  if (connection->received < end) return 0;
  if (strncmp(connection->answer, "HTTP/1.1 200", 12)) failed++;
  return 1;
}

static int compare(const void *a, const void *b) {
  long x = *(const long *)a, y = *(const long *)b;
  return (x > y) - (x < y);
}

int main(int count, char **arguments) {
  if (count < 5) return fprintf(stderr, "usage: arrivals PORT PATH RATE SECONDS [CONNECTIONS] < body\n"), 64;
  int port = atoi(arguments[1]), size = count > 5 ? atoi(arguments[5]) : 64;
  double rate = atof(arguments[3]), seconds = atof(arguments[4]);
  long total = (long)(rate * seconds);
  if (size < 1 || size > CONNECTIONS_MAX || total < 1) return fprintf(stderr, "nothing to do\n"), 64;
  static char pattern[REQUEST_MAX / 2], body[REQUEST_MAX], request[REQUEST_MAX + 1024];
  if (fread(pattern, 1, sizeof pattern - 1, stdin) == 0) fail("no body");
  char *user_at = strstr(pattern, "%u");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int poll = epoll_create1(0), one = 1;
  for (int i = 0; i < size; i++) {
    Connection *connection = &connections[i];
    connection->socket = socket(AF_INET, SOCK_STREAM, 0);
    connection->answer = malloc(ANSWER_MAX + 1);
    if (connect(connection->socket, (struct sockaddr *)&address, sizeof address)) fail("connect");
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(connection->socket, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    epoll_ctl(poll, EPOLL_CTL_ADD, connection->socket, &event);
    idle[idle_count++] = i;
  }
  long *latencies = malloc(total * sizeof *latencies), sent = 0, done = 0, begin = now();
  unsigned user = 1;
  while (done < total) {
    while (sent < total && idle_count > 0 && begin + (long)(sent * 1e9 / rate) <= now()) {
      Connection *connection = &connections[idle[--idle_count]];
      connection->due = begin + (long)(sent++ * 1e9 / rate);
      connection->received = 0;
      user = (user * 7919 + 104729) % 10000;
      int length = user_at ? snprintf(body, sizeof body, "%.*s%u%s", (int)(user_at - pattern), pattern, user, user_at + 2)
                           : snprintf(body, sizeof body, "%s", pattern);
      int bytes = snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s",
                           arguments[2], length, body);
      if (write(connection->socket, request, bytes) != bytes) fail("write");
    }
    // Nanoseconds until the next is due, unless all connections are busy.
    long wait = sent < total && idle_count > 0 ? begin + (long)(sent * 1e9 / rate) - now() : 1000000000L;
    if (wait < 0) wait = 0;
    struct timespec timeout = {wait / 1000000000L, wait % 1000000000L};
    struct epoll_event events[64];
    int found = epoll_pwait2(poll, events, 64, &timeout, NULL);
    if (found < 0 && errno != EINTR) fail("epoll_pwait2");
    for (int i = 0; i < found; i++) {
      Connection *connection = &connections[events[i].data.u32];
      long got = read(connection->socket, connection->answer + connection->received, ANSWER_MAX - connection->received);
      if (got <= 0) fail("the server has closed a connection");
      connection->received += got;
      if (!is_whole(connection)) continue;
      latencies[done++] = now() - connection->due;
      idle[idle_count++] = events[i].data.u32;
    }
  }
  double took = (now() - begin) / 1e9;
  qsort(latencies, total, sizeof *latencies, compare);
  printf("%.0f requests/s, ms: p50 %.3f p99 %.3f p99.9 %.3f max %.3f, failed %ld\n", total / took,
         latencies[total / 2] / 1e6, latencies[total * 99 / 100] / 1e6, latencies[total * 999 / 1000] / 1e6,
         latencies[total - 1] / 1e6, failed);
  return failed > 0;
}
