/*
 * Helpers that a test can make fail. In a build with FAULTS=1 (tests/fault); nothing of it is in any other.
 *
 * Comes in: om_faults, a word of OM_FAULT_* that the test writes through the pin. Goes out: what the helper gives
 * when the kernel has no memory, no room or no page for it. Used by: the places whose failure a verdict or a
 * count depends on. Never does: exist in an object that is shipped (tests/unit/test_symbols.sh).
 */
#ifndef OMEGA_BPF_FAULT_H
#define OMEGA_BPF_FAULT_H

#define OM_FAULT_LABEL	0x01u /* no memory for a task's label */
#define OM_FAULT_SOCK	0x02u /* no memory for a socket's label */
#define OM_FAULT_RING	0x04u /* no room in the ring */
#define OM_FAULT_FOLD	0x08u /* no place for a repeat */
#define OM_FAULT_NAME	0x10u /* a component of a reported path cannot be read */
#define OM_FAULT_PARENT 0x20u /* the walk to a reported path's root cannot begin */
#define OM_FAULT_ADDR	0x40u /* an address cannot be read */

#if defined(OMEGA_FAULTS) && defined(__bpf__)
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} om_faults SEC(".maps");

static __always_inline int om_fault(__u32 which)
{
	__u32 zero = 0, *word = bpf_map_lookup_elem(&om_faults, &zero);

	return word && *(volatile __u32 *)word & which;
}
#define OM_FAIL(which, failed, call) (om_fault(which) ? (failed) : (call))
#else
#define OM_FAIL(which, failed, call) (call)
#endif

#endif
