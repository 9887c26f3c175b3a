/* Telling the service manager how we are (sd_notify's protocol: a datagram to $NOTIFY_SOCKET). Threads: any.
 */
#ifndef BW_SERVER_NOTIFY_H
#define BW_SERVER_NOTIFY_H

/* "READY=1", "STOPPING=1", "STATUS=…". Nothing happens when nobody listens. */
void bw_notify(const char *state);

#endif
