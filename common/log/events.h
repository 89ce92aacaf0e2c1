/* common/log/events.h: every event that can stand in the log, and every key, each with the sentence that is
 * also its manual (tassis-log(5)). Error: someone must act. Warning: worse service. Info: a message's
 * way. Debug: the rest. A key means the same everywhere. */
#pragma once

#define LOG_EVENTS(EVENT)                                                                                             \
	/* the processes */                                                                                           \
	EVENT(started, INFO, "A process is ready to work.")                                                           \
	EVENT(stopping, INFO, "A process has been told to stop; it finishes what it has begun.")                      \
	EVENT(stopped, INFO, "A process has ended as it was told to.")                                                \
	EVENT(reloaded, INFO, "A process has taken the new configuration.")                                           \
	EVENT(configuration_refused, ERROR, "The new configuration has mistakes; the running one stays.")             \
	EVENT(start_failed, ERROR, "A process could not start; the reason says what is missing.")                     \
	EVENT(process_died, ERROR, "A process ended unasked; master starts it again.")                                \
	EVENT(process_stuck, ERROR, "A process has not answered for too long; master ends it and starts it again.")   \
	EVENT(file_unusable, ERROR, "A file that a daemon needs cannot be used; what was there before stays.")        \
	EVENT(file_taken, INFO, "A changed file (a certificate, say) is in use now.")                                 \
	/* between the daemons */                                                                                     \
	EVENT(peer_connected, DEBUG, "A connection to another daemon stands.")                                        \
	EVENT(peer_lost, WARNING, "A connection to another daemon ended; it is made again.")                          \
	EVENT(frame_refused, ERROR, "Another daemon sent what it may not; that connection was closed.")               \
	EVENT(frame, DEBUG, "A frame sent or received, in words.")                                                    \
	/* receiving */                                                                                               \
	EVENT(client_connected, INFO, "A client has connected.")                                                      \
	EVENT(client_left, INFO, "A client's connection has ended; the reason says how.")                             \
	EVENT(client_refused, INFO, "A connection was refused.")                                                      \
	EVENT(tls_started, INFO, "A connection is encrypted from here on.")                                           \
	EVENT(tls_failed, INFO, "The TLS handshake failed.")                                                          \
	EVENT(authenticated, INFO, "A user has logged in.")                                                           \
	EVENT(authentication_refused, INFO, "A login was refused.")                                                   \
	EVENT(password_rewritten, INFO, "A user's password is kept in a stronger form from here on.")                 \
	EVENT(sender_refused, INFO, "MAIL was refused.")                                                              \
	EVENT(recipient_refused, INFO, "RCPT was refused.")                                                           \
	EVENT(message_refused, INFO, "The message was refused at the end of its data.")                               \
	EVENT(command_refused, INFO, "A command was refused that is no MAIL, RCPT or AUTH.")                          \
	EVENT(verified, INFO, "It was checked who sent a message (SPF, DKIM, DMARC, ARC).")                           \
	EVENT(received, INFO, "A message is safe in the spool; from here on it is ours.")                             \
	EVENT(session_step, DEBUG, "A session goes from one step to the next.")                                       \
	/* the queue */                                                                                               \
	EVENT(queued, INFO, "queued has taken the message over.")                                                     \
	EVENT(found, INFO, "A message was found in the spool by the scan.")                                           \
	EVENT(picked_up, INFO, "A message that a user's program left in maildrop/ is ours from here on.")             \
	EVENT(scanned, INFO, "The spool has been read; the number says how many messages wait.")                      \
	EVENT(corrupt, ERROR, "A spool file cannot be read as one; it was set aside in corrupt/.")                    \
	EVENT(uncommitted_removed, INFO, "A spool file that was never acknowledged was removed.")                     \
	EVENT(flushed, INFO, "The administrator made waiting messages due at once.")                                   \
	EVENT(held, INFO, "The administrator holds a message: it is not tried, and does not expire.")                  \
	EVENT(released, INFO, "The administrator holds a message no more; it is due at once.")                         \
	EVENT(deleted, INFO, "The administrator removed a message; nobody is told.")                                   \
	EVENT(returned, INFO, "The administrator returns a message to its sender.")                                    \
	EVENT(adopted, INFO, "Messages of another host's spool were found in ours.")                                   \
	EVENT(vanished, INFO, "A message's file is not in the spool any more; nothing is left to do for it.")          \
	EVENT(spool_failed, ERROR, "The spool's file system refused a call; what was under way is tried again.")      \
	EVENT(delivered, INFO, "A recipient has the message.")                                                        \
	EVENT(deferred, INFO, "A recipient could not be reached now; it is tried again.")                             \
	EVENT(failed, INFO, "A recipient cannot have the message; the sender is told.")                               \
	EVENT(expired, INFO, "A recipient could not be reached for too long; the sender is told.")                    \
	EVENT(bounced, INFO, "A notice to the sender was made; it is a message of its own, named here.")              \
	EVENT(notice_dropped, WARNING, "A notice was not made, because there is nobody to send it to.")               \
	EVENT(notice_unwanted, INFO, "A recipient has failed, and the sender had asked not to be told.")              \
	EVENT(double_bounced, INFO, "A notice could not be delivered; double_bounce is told by the message named here.") \
	EVENT(warned, INFO, "The sender is told of a delay by the message named here.")                               \
	EVENT(reported, INFO, "The sender had asked to be told of the delivery, and is, by the message named here.")  \
	EVENT(removed, INFO, "All recipients of a message are done; its file is gone.")                               \
	/* delivering */                                                                                              \
	EVENT(stored, DEBUG, "A file is in a Maildir, durable.")                                                      \
	EVENT(next_hop_connected, DEBUG, "A connection to a next hop stands.")                                        \
	EVENT(destination_failing, INFO, "No host of a destination can be used; one attempt at a time finds out when.") \
	EVENT(destination_back, INFO, "A destination that was failing can be used again.")                            \
	EVENT(next_hop_failed, INFO, "A next hop could not be used; the next one is tried.")                          \
	EVENT(next_hop_dialogue, INFO, "A line of the dialogue with another host (delivery_debug).")                  \
	/* what tassis stands on */                                                                                   \
	EVENT(database_connected, INFO, "PostgreSQL answers.")                                                        \
	EVENT(database_lost, WARNING, "PostgreSQL does not answer; what is known is served, the rest is temporary.")  \
	EVENT(database_failed, WARNING, "PostgreSQL refused a question.")                                             \
	EVENT(aliases_unusable, WARNING, "A line of the aliases' file was passed over; the reason says why.")         \
	EVENT(postmaster_missing, WARNING, "Nobody takes the mail for postmaster or abuse of a domain of ours (RFC 5321 4.5.1); it is "  \
		"put off until an alias, a user, the setting postmaster or aliases_file takes it.")                           \
	EVENT(cache_dropped, INFO, "All cached answers were dropped.")                                                \
	EVENT(dns_failed, WARNING, "No name server answers.")                                                         \
	EVENT(key_loaded, INFO, "A private key is ready to sign.")                                                    \
	EVENT(disk_full, ERROR, "The disk is full; messages are refused with 452 until it is not.")

#define LOG_KEYS(KEY)                                                                          \
	KEY(process, "A process of tassis and its number.")                                    \
	KEY(pid, "A process id.")                                                              \
	KEY(exit, "How a process ended.")                                                      \
	KEY(pause_ms, "How long until it is started again.")                                   \
	KEY(version, "The version of tassis.")                                                 \
	KEY(file, "A file.")                                                                   \
	KEY(line, "A line of that file.")                                                      \
	KEY(peer, "The daemon at the other end.")                                              \
	KEY(text, "What was sent, in words.")                                                  \
	KEY(session, "The id of the SMTP session.")                                            \
	KEY(client, "The client's address.")                                                   \
	KEY(client_port, "The client's port.")                                                 \
	KEY(client_name, "The name that DNS gives the client's address, both ways.")           \
	KEY(listener, "The port and kind the client came to.")                                 \
	KEY(helo, "What the client called itself.")                                            \
	KEY(tls, "TLS version and cipher; of another host also whether its name is verified.") \
	KEY(user, "The user who has logged in, or tried to.")                                  \
	KEY(who, "The administrator who asked for it, as the program that asked says.")        \
	KEY(uid, "The user of a program of this host, by number.")                                 \
	KEY(mechanism, "The SASL mechanism.")                                                  \
	KEY(from, "The reverse-path.")                                                         \
	KEY(to, "The forward-path.")                                                           \
	KEY(original_to, "The forward-path as the client gave it, where an alias changed it.") \
	KEY(reply, "The reply, ours or the far end's.")                                        \
	KEY(command, "An SMTP command, cut.")                                                  \
	KEY(step, "A session's step.")                                                         \
	KEY(status, "The enhanced status code, RFC 3463.")                                     \
	KEY(reason, "Why, in a sentence.")                                                     \
	KEY(size_bytes, "The message's size.")                                                 \
	KEY(recipients, "How many recipients.")                                                \
	KEY(messages, "How many messages.")                                                    \
	KEY(id, "Another message's id.")                                                       \
	KEY(next_hop, "The host the message goes to next.")                                    \
	KEY(address, "An IP address.")                                                         \
	KEY(folder, "A mailbox folder.")                                                       \
	KEY(attempt, "The number of this attempt.")                                            \
	KEY(next_attempt_s, "Seconds until the next attempt.")                                 \
	KEY(delay_ms, "Milliseconds since the message was received.")                          \
	KEY(took_ms, "How long it took.")                                                      \
	KEY(server, "A server: PostgreSQL's host, a name server.")                             \
	KEY(spf, "What SPF comes to, RFC 7208 2.6.")                                           \
	KEY(dkim, "What DKIM comes to; of several signatures the best.")                       \
	KEY(dmarc, "What DMARC comes to.")                                                     \
	KEY(arc, "What ARC comes to.")                                                         \
	KEY(author_domain, "The domain of the address in From.")                               \
	KEY(errors, "How many mistakes.")
