/* master/main.c: tassis's first process: reads main.conf, binds, starts all others and watches them.
 * It parses nothing that a client sent. See ARCHITECTURE.md, "Processes", and master/master.h. */
#include "master/master.h"

int main(int argc, char **argv)
{
	return master_main(argc, argv);
}
