/*
 * Constants of the kernel that programs compare with: modes, flags, families, magic numbers, errors.
 *
 * Included by: core.bpf.h, and so by every program. The values are user space ABI or, where the comment
 * says since when, the kernel's own. Never holds anything of Omega's.
 */
#ifndef OMEGA_BPF_CONST_H
#define OMEGA_BPF_CONST_H

/* Not in UAPI headers that can be included here, or not worth a header each. */
#define OM_S_IFMT	   0170000
#define OM_S_IFSOCK	   0140000
#define OM_S_IFREG	   0100000
#define OM_S_IFBLK	   0060000
#define OM_S_IFDIR	   0040000
#define OM_S_IFCHR	   0020000
#define OM_S_IFIFO	   0010000
#define OM_PIPEFS_MAGIC	   0x50495045
#define OM_PIDFS_MAGIC	   0x50494446
#define OM_SOCKFS_MAGIC	   0x534f434b
#define OM_TMPFS_MAGIC	   0x01021994
#define OM_SB_NOUSER	   0x80000000u /* the kernel's own mount: no path leads there */
#define OM_S_SPECIAL	   0006000     /* set-user-id, set-group-id */
#define OM_FMODE_READ	   0x1
#define OM_FMODE_WRITE	   0x2
#define OM_FMODE_EXEC	   0x20
#define OM_FMODE_BACKING   0x2000000 /* 6.5 and later: the file below an overlay's file */
#define OM_O_CREAT	   0100
#define OM_O_TRUNC	   01000
#define OM_F_WRLCK	   1
#define OM_F_UNLCK	   2
#define OM_F_SETLEASE	   1024
#define OM_O_TMPFILE	   020000000
#define OM_PROT_WRITE	   0x2
#define OM_PROT_EXEC	   0x4
#define OM_MAP_PRIVATE	   0x02
#define OM_MAP_TYPE	   0x0f
#define OM_VM_WRITE	   0x2
#define OM_VM_EXEC	   0x4
#define OM_VM_SHARED	   0x8
#define OM_VM_MAYWRITE	   0x20
#define OM_RENAME_EXCHANGE 0x2
#define OM_AF_UNSPEC	   0
#define OM_AF_UNIX	   1
#define OM_AF_INET	   2
#define OM_AF_INET6	   10
#define OM_SOCK_STREAM	   1
#define OM_SOCK_DGRAM	   2
#define OM_SOCK_SEQPACKET  5
#define OM_MSG_FASTOPEN	   0x20000000
#define OM_EPERM	   1
#define OM_ENOENT	   2
#define OM_EROFS	   30
#define OM_EACCES	   13

#endif
