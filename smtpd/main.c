#include "smtpd/smtpd.h"

int main(int argc, char **argv)
{
	struct smtpd d = {.folder = -1};

	return service_main(argc, argv, &smtpd_service, &d);
}
