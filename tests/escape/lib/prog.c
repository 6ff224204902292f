/* The scene's program, `dir`/prog: ends with status 0. A few kilobytes, for every try has a copy. */
void _start(void);

void _start(void)
{
	__asm__ volatile("syscall" ::"a"(231 /* exit_group */), "D"(0) : "rcx", "r11", "memory");
	__builtin_unreachable();
}
