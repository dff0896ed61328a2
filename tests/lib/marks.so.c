/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a canaryctl does what: preloaded (LD_PRELOAD), it appends to the file $MARKS lines of "NAME MICROSECONDS" when main()
 * returns.
 *
 *   load        how long the kernel took to take the programs and maps in, all together
 *   transition  how long the last run of a kernel program took, with the system call around it: for a command that changes
 *               something, that is the commit, which is all that packets see of a change
 *   in_force    from the beginning of main() until that was done
 *   synced      how long was waited for the disk, all together
 *   saved       from the beginning of main() until the disk had said the last time that it has everything
 *   done        from the beginning of main() to its end
 *   cpu         the processor's time for all of the process until then
 *
 * What did not happen has no line.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

typedef int main_function(int argc, char **argv, char **envp);
typedef int start_function(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
			   void (*rtld_fini)(void), void *stack_end);

int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
		      void (*rtld_fini)(void), void *stack_end);

static main_function *program_main;
static double begin, load, transition, in_force, synced, saved;

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static double cpu_us(void)
{
	struct rusage used = {};

	getrusage(RUSAGE_SELF, &used);
	return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

static void write_marks(void)
{
	const struct {
		const char *name;
		double us;
	} marks[] = {
		{"load", load},	  {"transition", transition}, {"in_force", in_force}, {"synced", synced},
		{"saved", saved}, {"done", now_us() - begin}, {"cpu", cpu_us()},
	};
	const char *path = getenv("MARKS");
	FILE *file = path ? fopen(path, "ae") : NULL;

	if (!file) {
		perror("marks: MARKS");
		exit(125);
	}
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (marks[i].us)
			fprintf(file, "%s %.1f\n", marks[i].name, marks[i].us);
	fclose(file);
}

static int marked_main(int argc, char **argv, char **envp)
{
	int code;

	begin = now_us();
	code = program_main(argc, argv, envp);
	write_marks();
	return code;
}

int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
		      void (*rtld_fini)(void), void *stack_end)
{
	start_function *start = (start_function *)dlsym(RTLD_NEXT, "__libc_start_main");

	program_main = main;
	return start(marked_main, argc, argv, init, fini, rtld_fini, stack_end);
}

int bpf_object__load_skeleton(struct bpf_object_skeleton *skeleton)
{
	int (*next)(struct bpf_object_skeleton *) =
		(int (*)(struct bpf_object_skeleton *))dlsym(RTLD_NEXT, "bpf_object__load_skeleton");
	double since = now_us();
	int result = next(skeleton);

	load += now_us() - since;
	return result;
}

int bpf_prog_test_run_opts(int program, struct bpf_test_run_opts *options)
{
	int (*next)(int, struct bpf_test_run_opts *) =
		(int (*)(int, struct bpf_test_run_opts *))dlsym(RTLD_NEXT, "bpf_prog_test_run_opts");
	double since = now_us();
	int result = next(program, options);

	transition = now_us() - since;
	in_force = since + transition - begin;
	return result;
}

int fsync(int fd)
{
	int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	double since = now_us();
	int result = next(fd);

	synced += now_us() - since;
	saved = now_us() - begin;
	return result;
}
