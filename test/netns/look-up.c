/* What a program's libc says of a name: its addresses, or why there are none. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
  char text[64];
  int failed = getaddrinfo(argc > 1 ? argv[1] : "", NULL, &hints, &found);
  if (failed) return printf("%s\n", gai_strerror(failed)), 1;
  for (struct addrinfo *next = found; next; next = next->ai_next) {
    getnameinfo(next->ai_addr, next->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    printf("%s\n", text);
  }
  return 0;
}
